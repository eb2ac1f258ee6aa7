"""Raw recordings of Gatan's K2 IS camera (``.gtg`` and eight ``.bin``)."""
