"""The benchmark of kind wmdp."""
