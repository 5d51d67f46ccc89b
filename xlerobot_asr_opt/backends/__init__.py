"""What turns samples into text, behind one protocol."""
