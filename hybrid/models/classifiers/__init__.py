"""Networks that classify images: convolutions with circuits among them, in them, or in their place.

They take images (N, 1, H, W) or what was prepared from them. All are built alike: ``build(shape, n_classes, settings,
backend, **options)``, with the shape of one prepared image, and the settings of the experiment's level for the task.
"""
