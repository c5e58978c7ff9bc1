"""What is wrong or doubtful in cycling data, and its repair."""
