//! Tests of the runtime with scripted guests and simulated time.
