"""Pure rules of law and policy, without I/O: deadlines, profiles, the notice register, scan rules, countries."""
