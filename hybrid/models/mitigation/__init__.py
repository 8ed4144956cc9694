"""Values under noise, extrapolated to none: what experiments on error mitigation share."""
