"""Tied transposed convolution (CMS-LapSRN), and the Laplacian networks LapSRN and MS-LapSRN."""
