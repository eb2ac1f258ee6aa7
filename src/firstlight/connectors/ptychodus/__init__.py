"""Files of ptychodus and pty-chi."""
