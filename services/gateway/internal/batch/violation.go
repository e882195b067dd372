package batch

import (
	"strconv"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
)

// violationPath says where in an input file something is wrong: /<line>/<field>.
func violationPath(number int, field string) string {
	if number == 0 {
		return ""
	}
	path := "/" + strconv.Itoa(number)
	if field != "" {
		path += "/" + field
	}
	return path
}

// errorList is what is wrong with a batch, in OpenAI's shape.
type errorList struct {
	Object string      `json:"object"` // list
	Data   []lineError `json:"data"`
}

// lineError is what is wrong with a line of a batch.
type lineError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

// errorsOf are the errors of a batch that failed.
func errorsOf(e *event.Error) *errorList {
	if e == nil {
		return nil
	}
	list := &errorList{Object: "list", Data: make([]lineError, 0, len(e.Violations)+1)}
	for _, v := range e.Violations {
		number, field, _ := strings.Cut(strings.TrimPrefix(v.Path, "/"), "/")
		l := lineError{Code: v.Keyword, Message: v.Message}
		if n, err := strconv.Atoi(number); err == nil {
			l.Line = &n
		}
		if field != "" {
			l.Param = &field
		}
		list.Data = append(list.Data, l)
	}
	if len(list.Data) == 0 {
		l := lineError{Code: string(e.Class), Message: e.Message}
		if e.Field != "" {
			l.Param = &e.Field
		}
		list.Data = append(list.Data, l)
	}
	return list
}
