"""What each cell should show, and whether it does."""
