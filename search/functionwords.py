"""Words that say nothing about what is looked for, in the languages that most people type. They are not marked.

Taken from PostgreSQL's own stop words for the same languages, of three letters and more, without those that are also
nouns of a university's life ('might', 'sein'); folded as `ingestion.lexemes` folds words.
"""

_BY_LANGUAGE = {
    "English": (
        "the and for are was were has have had not but you your yours our ours his her hers its him she they them "
        "their this that these those what which who whom when where why how all any both each few more most other some "
        "such than then too very can does did doing been being from into with about against between through during "
        "before after above below again once here there own same only nor just should would could get got"
    ),
    "German": (
        "der die das den dem des ein eine einer einem einen eines und oder aber wenn weil dass ich sie wir ihr ihn ihm "
        "mein meine meinem meinen meiner dein deine unser unsere ist sind war waren bin hat habe haben wird werden wie "
        "was wer wen wem wann warum welche welcher welches nicht kein keine auf aus bei mit nach von vor zum zur fur "
        "uber unter auch nur noch schon sich man mich mir dir uns kann muss soll"
    ),
    "French": (
        "les des une est sont etre ete avoir ont que qui quoi quel quelle quels quelles comment quand pour pourquoi "
        "par pas plus dans sur sous avec sans ses mes tes mon ton son nos vos leur leurs notre votre cette ces aux "
        "elle elles nous vous ils lui mais donc car"
    ),
    "Spanish": (
        "los las una uno unos unas del con sin por para que quien como cuando donde cual cuales son esta este estos "
        "estas ser hay fue mis tus sus nuestro nuestra pero mas muy entre sobre hasta desde"
    ),
    "Italian, Dutch, Portuguese": (
        "gli della delle degli dei nel nella che non per come quando dove sono het een van voor met niet hoe wat waar "
        "zijn dos das nos nas uma com nao"
    ),
}
FUNCTION_WORDS = frozenset(word for words in _BY_LANGUAGE.values() for word in words.split())
