-- The database that BI tools read; dagster's own is made by the image.
create database bi owner journey;
