"""Moving a whole archive of somebody else into hilum: crawl, retrieve, verify, reconcile."""
