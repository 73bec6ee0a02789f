//! Composes images from manifests, runs them, and tests them
