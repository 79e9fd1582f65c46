"""Images from lists of addresses and from web pages become a class folder that says where each came from."""
