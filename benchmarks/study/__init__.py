"""Compare our int8 model with what a user might run instead: time, answers and memory."""
