"""The web page: drop an image, see the verdict and why."""
