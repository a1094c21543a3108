"""Words by which a sample is understood: the headings that systems of the field use, what says yes and no, how
a closing line begins. Data only, applied in `engage.scaffold`. A system that is not understood yet is a new word here.
"""

HEADINGS: dict[str, dict[str, str]] = {
    "*": {
        "event_id": "eventid id logid recordid transactionid guid uuid requestid acctuniqueid acctsessionid rowid",
    },
    "activity": {
        "occurred_at": "occurredat timestamp eventtime eventdatetime eventdate timecreated createdat accesstime"
        " swipetime swipedat transactiontime transactiondate logtime logintime loggedat loandate loantime checkouttime"
        " submittedat submissiondate datesubmitted viewedat viewdatetime acctstarttime starttime startdatetime"
        " startedat datetime time date created start",
        "resource_type": "resourcetype component itemsubtype itemtype contenttype eventtype type category contexttype"
        " contextclass usageeventtype eventname event",
        "resource_ref": "resourceref objectid resourceid itemid site location borrowingsite library door doorname"
        " reader readername apname accesspoint ap calledstationid sessionname deliveryname courseid course url",
        "quantity": "quantity clicks sumclick hits interactions views count",
        "duration_s": "durations durationseconds durationinseconds seconds acctsessiontime interactionseconds"
        " secondsviewed viewingseconds sessionseconds duration",
    },
    "attendance": {
        "starts_at": "startsat sessionstart sessionstarttime starttime startdatetime eventstart scheduledstart"
        " timetabledstart start sessiondate",
        "ends_at": "endsat sessionend sessionendtime endtime enddatetime eventend scheduledend timetabledend end",
        "session_type": "sessiontype activitytype eventtype classtype teachingtype type",
        "mandatory": "mandatory compulsory ismandatory iscompulsory required",
        "attended": "attended isattended attendance attendancestatus attendancemark present mark status",
        "late": "late islate",
        "recorded_at": "recordedat registeredat checkintime checkinat scannedat scantime swipedat swipetime capturedat"
        " timestamp updatedat",
    },
    "students": {
        "given_name": "givenname firstname forename forenames preferredname",
        "family_name": "familyname surname lastname",
        "is_sponsored": "issponsored sponsored studentroute tier4 visasponsored issponsoredstudent",
    },
    "enrolments": {
        "programme_code": "programmecode programcode prgcode routecode roucode crscode awardcode",
        "programme_name": "programmename programname programmetitle prgname routename coursetitle",
        "faculty_code": "facultycode faccode faculty departmentcode dptcode schoolcode",
        "year_of_study": "yearofstudy studyyear blok levelofstudy level",
        "mode": "mode modeofstudy studymode moacode attendancemode",
        "entry_band": "entryband entryqualificationband tariffband",
        "cohort": "cohort intake entrycohort",
        "campus_residence": "campusresidence residence termtimeaccommodation",
        "tutor_id": "tutorid tutor personaltutor personaltutorid prscode advisorid",
        "status": "status enrolmentstatus enrollmentstatus studentstatus stacode",
        "status_from": "statusfrom statusdate effectivefrom statusstart startdate fromdate",
        "status_to": "statusto effectiveto statusend enddate todate",
    },
    "term_calendar": {
        "term_code": "termcode term semester periodcode period",
        "kind": "kind periodtype termtype type",
        "starts_on": "startson startdate start fromdate from",
        "ends_on": "endson enddate end todate to",
        "programme_code": "programmecode prgcode routecode",
        "cohort": "cohort intake",
    },
    "staff_links": {
        "staff_id": "staffid staffnumber tutorid prscode employeeid",
        "role": "role relationship linktype",
        "staff_name": "staffname tutorname",
        "staff_email": "staffemail tutoremail",
    },
    "modules": {"module_code": "modulecode modcode unitcode", "title": "title moduletitle modulename"},
    "cases": {
        "case_id": "caseid casenumber casereference",
        "opened_at": "openedat createdon createdat opened",
        "closed_at": "closedat resolvedon closed",
    },
    "contacts": {
        "contact_id": "contactid interactionid",
        "contacted_at": "contactedat contactdate",
        "channel": "channel contactmethod",
        "outcome": "outcome result",
    },
    "exemptions": {
        "exemption_ref": "exemptionref exemptionid reference",
        "exemption_type": "exemptiontype type reason",
        "starts_on": "startson startdate start from",
        "ends_on": "endson enddate end to",
    },
    "characteristics": {
        "characteristic": "characteristic protectedcharacteristic equalitycharacteristic monitoringquestion",
        "member": "member group category monitoringanswer answer response value",
    },
    "student_notes": {
        "note_id": "noteid commentid",
        "note": "note notetext studentnote comment body text",
        "written_at": "writtenat written submittedat createdat createdon",
    },
}
"""Record -> field -> headings in lower case and without anything but letters and digits, the surest first."""

IDENTITY = {
    "student_id": "studentid studentnumber studentno studentref student sid sisid sisuserid useridnumber idnumber"
    " sprcode stucode scjcode matriculationnumber bannerid personnumber",
    "username": "username userusername loginid login userlogin userid user netid uid account accountname cisusername"
    " samaccountname externaluserid userexternalid acctusername",
    "email": "email emailaddress useremail mail userprincipalname upn attendeeemail participantemail identityemail",
    "badge": "badge badgenumber badgeno accessid cardnumber cardno cardid card barcode borrowerbarcode patronid"
    " patronbarcode libraryid",
}
"""What a source may know a student by -> the headings that say so."""

CATEGORIES = {
    "vle": "moodle canvas blackboard vle lms learn component module assignment submission quiz forum teams panopto",
    "library_access": "library gate gates door doors loan loans access badge",
}
"""Category of the score -> words in headings and in the file's name."""
DIGITAL = ("vle", "login", "loginid", "eresource", "eresources", "proxy", "wifi", "radius")

YES = {"true", "t", "yes", "y", "1", "present", "p", "attended", "in", "x", "on time", "late", "scanned"}
NO = {
    "false",
    "f",
    "no",
    "n",
    "0",
    "absent",
    "a",
    "missed",
    "not attended",
    "authorised absence",
    "unauthorised absence",
}
"""Words, in lower case, that a mark may be written as."""

DROPS = (
    ("directionofaccess direction accessdirection inout", "o out exit egress", "an exit is not a visit"),
    ("result outcome accessresult decision", "denied refused rejected invalid", "the door stayed shut"),
)
"""Headings, words in lower case, and why rows with such a word are left out."""
ACTORS = ("realuser", "realuserid")
"""Headings that are filled where somebody else acts as the student."""

CLOSING = r"^\W*(total|totals|trailer|trl|footer|end|eof|count|records|rows|sum|control|checksum)\b"
"""How a closing line begins."""

KNOWN_WORDS = {
    ("enrolments", "status"): ["active", "suspended", "placement", "study_abroad", "withdrawn"],
    ("term_calendar", "kind"): ["teaching", "reading", "assessment", "vacation", "closure"],
}
"""Fields whose words are ours."""
HELD_WHOLE = ("enrolments", "term_calendar", "exemptions")
"""Lists whose missing row would make a student look silent: one that cannot be read holds the list."""
OF_EVERYBODY = ("students", "enrolments", "staff_links")
"""Lists that grow and shrink with the university only."""
SMALL_SETS = ("session_type", "resource_type", "mode", "entry_band", "campus_residence", "cohort", "faculty_code")
"""Fields whose values may be listed when they are few: kinds of things, never of people."""
