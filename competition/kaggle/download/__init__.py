"""The command `download`: a competition's files, complete or not there at all."""
