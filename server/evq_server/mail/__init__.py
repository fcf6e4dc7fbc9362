"""How mails are worded, and how they leave."""
