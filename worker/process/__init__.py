"""The worker as a process: the RQ worker, its task, and the warm-up before the first job."""
