"""What runs inside the pods of the stand-in; imports nothing of NetLibrary."""
