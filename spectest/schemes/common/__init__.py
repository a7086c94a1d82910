"""What schemes share: checked inputs and draws, plans of distinct problems, exact outcomes, verifying a winner."""
