"""What has been learned, in use: a run folder becomes something that answers."""
