"""Students into batches, rooms and shifts: what may be together, who is put together, where and when they meet."""
