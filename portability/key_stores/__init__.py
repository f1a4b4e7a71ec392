"""Private keys that are in no process: tokens with PKCS#11, and the key management service of AWS."""
