"""From a release to three bentos, their images, and the Helm values that pin them."""
