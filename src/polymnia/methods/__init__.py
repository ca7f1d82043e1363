"""What is done about forgetting: one file a method."""
