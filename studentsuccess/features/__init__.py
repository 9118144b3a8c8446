"""Point-in-time features, SQL first: what was known of each enrolment at the end of a week, and nothing later."""
