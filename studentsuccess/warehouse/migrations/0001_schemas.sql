-- One schema per stage of the way from a file to a page, and the book of the migrations themselves.
CREATE SCHEMA raw;
CREATE SCHEMA core;
CREATE SCHEMA feature;
CREATE SCHEMA ml;
CREATE SCHEMA mart;
CREATE SCHEMA ops;

CREATE TABLE ops.migration (
    number INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL
);
