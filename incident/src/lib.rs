//! Groups alerts into one disturbance, gathers evidence and says whose fault it is.
