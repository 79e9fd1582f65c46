"""Where images come from: the layouts of data sets, the folds, and the images themselves."""
