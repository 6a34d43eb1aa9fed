"""`edged top`: a board on a terminal, live, from any machine of the site."""
