"""What people may know and ask about the data held of them: rights, periods, and what is deleted when they are over."""
