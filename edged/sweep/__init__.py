"""`edged calibrate`: what this board draws and how fast it is, point by point, against a meter."""
