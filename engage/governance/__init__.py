"""What the institution may know of itself without knowing of anybody: figures, rounded and suppressed, by edition."""
