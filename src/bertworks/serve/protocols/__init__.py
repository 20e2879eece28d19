"""The protocols that programs speak: each translates its bodies and answers, and computes nothing itself."""
