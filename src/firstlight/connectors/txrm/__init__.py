"""Zeiss (Xradia) microscopes: ``.txrm`` and ``.xrm`` files, which are OLE compound files."""
