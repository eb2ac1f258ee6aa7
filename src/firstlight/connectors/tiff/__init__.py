"""TIFF files: folders of pages, stacks of pages, and BigTIFF; projections or sinograms."""
