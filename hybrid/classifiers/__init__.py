"""Networks that classify images: convolutions with circuits among them, in them, or in their place.

They take images (N, 1, H, W) or what was prepared from them, so they are no models of :mod:`hybrid.models`, which take
flat features. All are built alike: ``build(shape, n_classes, settings, backend, **options)``, with the shape of one
prepared image, and the settings of the experiment's level for the task.
"""
