"""What is done elsewhere: files to object stores."""
