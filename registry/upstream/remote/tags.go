package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/registry"
)

const (
	maxPages  = 1000    // of one list of tags
	maxPage   = 8 << 20 // bytes
	maxCursor = 2 << 10
	maxTags   = 1000 // asked for at once
)

// Tags returns a page of the tags of repo (distribution-spec, "Listing tags"): those after last, about n of them, in the upstream's order; 0 leaves n
// to it. next is given as last for the next page, whatever it looks like; empty means that this was all. After a thousand pages it is refused.
func (r *Remote) Tags(ctx context.Context, repo, last string, n int) (tags []string, next string, err error) {
	q, err := r.about("list tags", repo, "tags/list", "")
	if err != nil {
		return nil, "", err
	}
	page, err := q.turnTo(last, n)
	if err != nil {
		return nil, "", r.nothing(q.doing, err.Error())
	}
	q.header.Set("Accept", "application/json")
	a, err := r.fetch(ctx, q, maxPage)
	if err != nil {
		return nil, "", err
	}
	var said struct {
		Tags []string `json:"tags"`
	}
	if json.Unmarshal(a.body, &said) != nil {
		return nil, "", a.call.bad("it is not the JSON of a list of tags")
	}
	tags = slices.DeleteFunc(said.Tags, func(tag string) bool { return !registry.ValidTag(tag) })
	query, err := a.next(page)
	if err != nil || query == "" {
		return tags, "", err
	}
	return tags, fmt.Sprintf("%d?%s", page+1, query), nil
}

// turnTo sets the query for a page: the first one after a tag, or one that an earlier page named. No tag has a question mark.
func (q *question) turnTo(last string, n int) (page int, err error) {
	number, rest, later := strings.Cut(last, "?")
	if !later {
		q.query = url.Values{}
		if n > 0 {
			q.query.Set("n", strconv.Itoa(min(n, maxTags)))
		}
		if last != "" && !registry.ValidTag(last) {
			return 0, fmt.Errorf("%.140q is no tag", last)
		}
		if last != "" {
			q.query.Set("last", last)
		}
		return 1, nil
	}
	page, err = strconv.Atoi(number)
	if err == nil {
		q.query, err = url.ParseQuery(rest)
	}
	if err != nil || page < 2 || len(rest) > maxCursor {
		return 0, fmt.Errorf("%.140q does not continue a list of tags", last)
	}
	return page, nil
}

// next returns the query of the next page, if a Link header names one (RFC 8288). Only the query is taken: it is asked of the same host and path.
func (a *answer) next(page int) (string, error) {
	query, err := nextQuery(a.header)
	switch {
	case err != nil || len(query) > maxCursor || page >= maxPages && query != "":
		return "", a.call.bad("its list of pages has no end, or no way to the next one")
	case query != "" && query == a.call.query.Encode():
		return "", a.call.bad("its next page is the same again")
	}
	return query, nil
}

var relNext = regexp.MustCompile(`(?i);\s*rel\s*=\s*("([^"]*\s)?next(\s[^"]*)?"|next\s*([;,]|$))`)

func nextQuery(h http.Header) (string, error) {
	for _, rest := range h.Values("Link") {
		for {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			target, after, _ := strings.Cut(after, ">")
			params, _, _ := strings.Cut(after, "<")
			rest = after
			if !relNext.MatchString(params) {
				continue
			}
			u, err := url.Parse(target)
			if err != nil {
				return "", err
			}
			values, err := url.ParseQuery(u.RawQuery)
			return values.Encode(), err
		}
	}
	return "", nil
}
