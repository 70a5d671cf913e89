package mirror

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
)

// The keys of the index that belong to mirroring. Parts are joined by '!', as the registry's are.
//
//	mirror/run/<repository>                 what is known of the entry's runs, as JSON
//	mirror/asked/<repository>!<digest>      when the upstream was last asked what refers to a manifest, and all that does was here; in microseconds, as decimal digits
const (
	prefixMirror = "mirror/"
	prefixRun    = prefixMirror + "run/"
	prefixAsked  = prefixMirror + "asked/"
)

func keyRun(repo string) string                    { return prefixRun + repo }
func keyAsked(repo string, d digest.Digest) string { return prefixAsked + repo + "!" + string(d) }

func timeRow(t time.Time) []byte { return strconv.AppendInt(nil, t.UnixMicro(), 10) }

// parseTime is the other way round. What is no time is long ago.
func parseTime(b []byte) time.Time {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(n)
}

// row is what is known of an entry's runs.
type row struct {
	Print  string    `json:"print"`            // of the entry that the last run was of
	Began  time.Time `json:"began"`            // when that began
	Open   bool      `json:"open,omitempty"`   // it has not come to its end
	Holder string    `json:"holder,omitempty"` // the process that it is a run of, and when that was last seen to be at it; so that no other one begins
	Beat   time.Time `json:"beat,omitzero"`
	Newest []string  `json:"newest,omitempty"` // the tags that were taken for being the newest
	Last   *Result   `json:"last,omitempty"`   // of the last run that came to its end
}

// parseRow reads a row. One that cannot be read says nothing, and the entry is due.
func parseRow(b []byte) (r row) {
	if json.Unmarshal(b, &r) != nil {
		return row{}
	}
	return r
}

func (r row) encode() ([]byte, error) { return json.Marshal(r) }
