package upstream

import "time"

// The keys of the index that belong to what is pulled through.
//
//	up/<repository>!<tag>   when the upstream last said what the tag names, in microseconds, as decimal digits
func keyChecked(repo, tag string) string { return "up/" + repo + "!" + tag }

func micros(t time.Time) int64 { return t.UnixMicro() }
