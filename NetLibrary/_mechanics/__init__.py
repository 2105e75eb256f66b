"""What NetLibrary does, free of Robot Framework: usable and testable from plain Python."""
