"""What a browser gets to see of approvals, and what it may send; imported when first needed."""
