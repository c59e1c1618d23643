//! The WSGI call.
