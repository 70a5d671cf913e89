package main

import "time"

// leastBackup is the shortest time from one backup to the next: each of them reads the whole index.
const leastBackup = time.Minute

func (j *judge) backup(c Config) {
	b := c.Backup
	if b.Every < 0 || b.Every > 0 && b.Every < leastBackup {
		j.wrong("backup.every", "%s is too short; at least %s, or 0s for none at all", formatDuration(b.Every), formatDuration(leastBackup))
	}
	if b.Keep < 1 {
		j.wrong("backup.keep", "%d is no number of backups to keep; at least 1", b.Keep)
	}
	switch {
	case b.Every > 0 && b.To == "":
		j.wrong("backup.to", "no place is named; give a folder, or bucket for that of content")
	case b.To == toBucket && c.Storage.S3.Bucket == "":
		j.wrong("backup.to", "content is not in a bucket; set storage.s3.bucket, or name a folder (./bucket if that is what it is called)")
	}
}
