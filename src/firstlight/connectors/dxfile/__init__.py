"""DXfile, the Data Exchange layout of the Advanced Photon Source."""
