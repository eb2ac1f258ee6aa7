"""Zarr version 3: images in many small files or objects, in folders and in S3 buckets, with OME-NGFF for viewers."""
