package main

import (
	"net/url"
	"time"
)

func (j *judge) stores(c Config) {
	o := c.Storage.S3
	switch {
	case o.Bucket == "" && (o.Endpoint != "" || o.AccessKey != "" || o.SecretKeyFile != "" || o.Prefix != "" || o.Region != ""):
		j.missing("storage.s3.bucket", "write the bucket's name, or leave the whole section out")
	case (o.AccessKey == "") != (o.SecretKeyFile == ""):
		j.missing("storage.s3.secretKeyFile", "an access key and its secret key belong together")
	}
	if o.Bucket != "" && c.Storage.Disk.Path != "" {
		j.wrong("storage.disk.path", "content is in the bucket %s; leave one of them out", o.Bucket)
	}
	j.oneOf("storage.s3.sse", o.SSE, "", "AES256", "aws:kms")
	if o.KMSKey != "" && o.SSE != "aws:kms" {
		j.wrong("storage.s3.kmsKey", "it is for sse: aws:kms alone")
	}
	j.webAddress("storage.s3.endpoint", o.Endpoint, true)
	j.webAddress("storage.s3.publicEndpoint", o.PublicEndpoint, true)
	if o.Memory < 32<<20 {
		j.wrong("storage.s3.memory", "%v is less than two parts of an upload need; at least 32MiB", o.Memory)
	}
	if o.LinkTTL < time.Second || o.LinkTTL > 7*24*time.Hour {
		j.wrong("storage.s3.linkTTL", "%s is no time for a link to live; between 1s and 7d", formatDuration(o.LinkTTL))
	}
	p := c.Index.Postgres
	if u, err := url.Parse(p.URL); p.URL != "" && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Host == "") {
		j.wrong("index.postgres.url", "it is not of the form postgres://user:password@db.example.com:5432/registry")
	}
	if p.URL != "" && c.Index.Bolt.Path != "" {
		j.wrong("index.bolt.path", "metadata is in a PostgreSQL database; leave one of them out")
	}
	if p.Connections < 0 {
		j.wrong("index.postgres.connections", "%d is less than nothing; 0 means 16", p.Connections)
	}
	if c.shared() && o.Bucket == "" {
		j.missing("storage.s3.bucket", "a database that several registries may share needs a bucket that they share as well")
	}
}
