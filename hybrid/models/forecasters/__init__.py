"""Networks that forecast time series: recurrent ones, fast weights, reservoirs.

They map sequences to numbers and keep a state. All are called alike, time first: ``model(u, state=None,
last_only=False) -> (forecasts, state)`` with u (T, N, n_inputs), forecasts (T, N, 1), or (N, 1) for the last step only.
"""
